"""What people are told and asked: messages, pages, and the durable outbox they leave from."""
