"""ECG samples to RR intervals."""
