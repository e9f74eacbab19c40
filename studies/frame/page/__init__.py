"""Parts of ``report.html``: its template, style and script, and its interactive plots."""
