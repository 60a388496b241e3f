"""Searches for how many dimensions each feature deserves: from a task and a model to a sized embedding."""
