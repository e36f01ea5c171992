"""What a detector said against what is true."""
