"""One room per portal. Portals never import one another; they only list, describe, locate, authorise (DESIGN §3)."""
