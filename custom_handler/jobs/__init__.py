"""Background jobs: lists of questions, stored, answered by workers, and resumed after a crash."""
