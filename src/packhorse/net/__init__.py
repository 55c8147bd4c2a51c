"""libcurl behind a small transport seam: TLS, proxies, redirects, retry verdicts, per-host budgets."""
