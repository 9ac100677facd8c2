"""The ratios as a picture: how many times the contender's rate, each with its goal."""

from html import escape

from benchmarks.endpoints import ENDPOINTS
from benchmarks.findings import STOCK, Findings

LEFT, WIDTH, ROW, TOP = 230, 470, 30, 56
MET, MISSED = "#2f7d5b", "#b3452c"


def svg(findings: Findings) -> str:
    """A bar for each endpoint, a thin line for its spread, a mark for its goal."""
    ratios = {endpoint.name: findings.rounds[endpoint.name].ratio(STOCK) for endpoint in ENDPOINTS}
    most = max(max(each.most for each in ratios.values()), max(each.times for each in ENDPOINTS)) * 1.05
    height = TOP + ROW * len(ENDPOINTS) + 24

    def x(ratio: float) -> float:
        return round(LEFT + WIDTH * ratio / most, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 70} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="12" y="24" font-size="15" font-weight="600">Requests a second, as multiples of stock DRF</text>',
        '<text x="12" y="42" fill="#555">bar: median; thin line: least to most of the rounds; mark: goal</text>',
    ]
    for number, endpoint in enumerate(ENDPOINTS):
        ratio, y = ratios[endpoint.name], TOP + ROW * number
        colour = MET if ratio.median >= endpoint.times else MISSED
        middle = y + 11
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(endpoint.name)}</text>',
            f'<rect x="{LEFT}" y="{y + 2}" width="{x(ratio.median) - LEFT:.1f}" height="18" fill="{colour}"/>',
            f'<path d="M{x(ratio.least)} {middle}H{x(ratio.most)}" stroke="#111" stroke-width="1.5"/>',
            f'<path d="M{x(endpoint.times)} {y - 1}v24" stroke="#111" stroke-width="2.5"/>',
            f'<text x="{x(ratio.most) + 8}" y="{y + 16}">{ratio.median:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
