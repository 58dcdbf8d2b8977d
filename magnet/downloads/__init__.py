"""Files from the network: fetched once, verified on every use, and unpacked safely."""
