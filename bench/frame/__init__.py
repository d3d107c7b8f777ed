"""What all benchmarks share: figures and their goals, the machine, meters, and labs full of background ports."""
