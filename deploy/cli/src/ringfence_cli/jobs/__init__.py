"""Commands whose work a service does as a job: verify, rerate, unrated replay; and the jobs."""
