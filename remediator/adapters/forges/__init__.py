"""Forges: where Git repositories live and people merge what is proposed. GitHub and GitLab, behind one small port."""
