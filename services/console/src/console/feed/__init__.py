"""What happens on the topics, for the pages that are open."""
