"""The frame of the page."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{
  margin: 24px; background: #fff; color: #222;
  font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}}
h1 {{ font-size: 20px; font-weight: 600; margin: 0 0 14px; }}
h2 {{ font-size: 15px; font-weight: 600; margin: 26px 0 8px; }}
table {{ border-collapse: separate; border-spacing: 0; }}
.summary td, .summary th {{
  padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid #eee;
  font-variant-numeric: tabular-nums; white-space: nowrap;
}}
.summary th {{ color: #667; font-weight: 500; }}
.summary td:nth-child(-n+3), .summary th:nth-child(-n+3),
.summary td:last-child, .summary th:last-child {{ text-align: left; }}
.summary td:last-child {{ white-space: normal; color: #556; }}
.summary tr:last-child td {{ border-bottom: 0; color: #667; }}
.legend span {{
  display: inline-block; margin: 0 14px 6px 0; font-size: 12px; color: #445;
}}
.legend i {{
  display: inline-block; width: 11px; height: 11px; margin-right: 5px;
  border-radius: 2px; vertical-align: -1px;
}}
.legend .ignored {{ background: rgb(224, 224, 192); }}
.pictures th {{
  position: sticky; background: #fff; text-align: left; font-weight: 600;
  font-size: 13px; z-index: 1;
}}
.pictures thead th {{
  top: 0; padding: 8px 6px; border-bottom: 1px solid #ccd;
  vertical-align: bottom;
}}
.pictures tbody th {{
  left: 0; padding: 0 10px 0 0; font-weight: 400; font-size: 11px;
  color: #667; min-width: 84px; max-width: 110px; overflow-wrap: anywhere;
}}
.pictures .corner {{ left: 0; z-index: 2; }}
.pictures small {{
  display: block; font-weight: 400; font-size: 11px; color: #667;
}}
.pictures td {{ padding: 6px; vertical-align: middle; }}
.pictures img {{
  display: block; width: 200px; height: auto; border-radius: 3px;
}}
.pictures .none {{
  width: 188px; color: #99a; font-size: 11px; text-align: center;
}}
</style>
</head>
<body>
<h1>{title}</h1>
<table class="summary">
{summary}
</table>
<h2>Pictures</h2>
<div class="legend">{legend}</div>
<table class="pictures">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""
