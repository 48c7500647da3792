"""The examination of servers and platform, which an operator requests as a job."""
