"""Jobs: long lists of questions that are answered in the background, by whatever worker is free, and survive a restart."""
