"""What Grafana shows of the stages, the detectors at work and the hosts."""
