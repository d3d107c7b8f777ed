"""What all benchmarks share: figures and goals, the machine, meters, and labs full of background ports."""
