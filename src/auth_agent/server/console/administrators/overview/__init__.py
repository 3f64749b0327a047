"""What administrators see first: numbers over time, and what needs attention."""
