"""The book: executed chapters, ledger and model cards as a site that needs no network."""
