"""The study of perturbations: how much biology each scheme bears."""
