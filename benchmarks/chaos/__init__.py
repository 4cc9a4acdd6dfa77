"""Many machines on one: workers behind nginx, clients that come and go, faults, and a count of every byte."""
