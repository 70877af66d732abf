"""The inside of the load: what each Locust process deals, sends, reads and records."""
