"""suggest_keywords: a vocabulary of subjects and what moves them, kept as data."""
