"""Changes by Git: where manifests say a value, how its text is edited, and who owns an object. Pure.

`edits` finds a value in the manifests of a repository and replaces it, every other byte kept; `yaml_text` is what that
knows about YAML. What talks to a forge is an adapter.
"""
