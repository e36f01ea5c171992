"""One module per entry point, all alike: ``run(config)`` reads the configuration, loops, writes."""
