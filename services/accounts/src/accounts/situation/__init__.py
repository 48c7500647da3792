"""What an operator looks at first: how many clients are off or low, and who runs out first."""
