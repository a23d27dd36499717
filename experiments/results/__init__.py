"""Result records: what one policy reached, as strict JSON. Everything that compares reads these."""
