"""What is typed in a terminal. Exit codes: 0 fine, 1 the answer is no, 2 wrong use or nobody there to ask."""
