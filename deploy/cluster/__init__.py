"""Several machines: the configuration of a cluster, and a trial of it on one machine that kills its parts."""
