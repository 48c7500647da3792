"""What commands of every package print, and how."""
