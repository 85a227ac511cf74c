"""Actions that tell delivery tools what to do: Argo CD, Flux, External Secrets."""
