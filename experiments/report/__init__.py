"""What is shown of results: text for a terminal, a leaderboard in Markdown and a page in HTML."""
