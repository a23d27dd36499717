/* Order of search results: guides, then algorithms, the object of exactly that name, results and
   the project's pages, and last whatever else the API reference has. */
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, title, anchor, description, score, file, kind]) => {
    const first = ["guide", "environment", "glossary", "model", "training", "statistics"];
    const guides = [...first, "dynamics", "bring-your-own", "tour", "install", "index"];
    if (guides.includes(page)) return score + 200 - guides.indexOf(page);
    if (page.startsWith("algorithms/")) return score + 150;
    if (kind === "object" && score >= 11 && !page.endsWith("-more")) return score + 100;
    return page.startsWith("api/") ? score : score + 50;
  },
};
