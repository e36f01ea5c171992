"""What prepare and featurize leave on disk: its files, its tables, and whether it is current."""
