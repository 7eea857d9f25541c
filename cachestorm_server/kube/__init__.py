"""The operator: what makes a `CacheStorm` resource of Kubernetes into running servers."""
