"""Sensors, GPU faults and sleep of this machine."""
