"""Load that was really applied: scenarios, the promised limits judged at the end, and what one machine holds."""
