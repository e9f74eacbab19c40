"""The spiking network and its recording as plain data; no simulation."""
