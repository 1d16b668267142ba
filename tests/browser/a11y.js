// What a machine can say about accessibility without a library: names, languages, headings, ids, contrast.

/** Runs in the page; returns a list of complaints. */
function inspect() {
  const complaints = [];
  const visible = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const describe = (node) => node.outerHTML.slice(0, 120);

  if (!document.documentElement.lang) complaints.push('no language');
  if (!document.title) complaints.push('no title');
  const headings = [...document.querySelectorAll('h1')].filter(visible);
  if (headings.length > 1) complaints.push('more than one h1');

  const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
  if (new Set(ids).size < ids.length) complaints.push(`ids used twice: ${ids}`);
  for (const node of document.querySelectorAll('[aria-labelledby], [aria-controls]')) {
    const id = node.getAttribute('aria-labelledby') ?? node.getAttribute('aria-controls');
    if (!document.getElementById(id)) complaints.push(`points nowhere: ${describe(node)}`);
  }
  for (const node of document.querySelectorAll('button, a[href], input, textarea')) {
    if (!visible(node)) continue;
    const labels = [...(node.labels ?? [])].map((label) => label.textContent).join('');
    const pictures = [...node.querySelectorAll('img')].map(({ alt }) => alt).join('');
    const name = node.getAttribute('aria-label') ?? (labels || node.textContent + pictures);
    if (!name.trim()) complaints.push(`no name: ${describe(node)}`);
    if (node.tabIndex > 0) complaints.push(`tabindex over 0: ${describe(node)}`);
    const { width, height } = node.getBoundingClientRect();
    if (node.tagName === 'BUTTON' && !node.classList.contains('link') && (width < 24 || height < 24)) {
      complaints.push(`smaller than 24px: ${describe(node)}`);
    }
  }
  for (const node of document.querySelectorAll('img'))
    if (!node.hasAttribute('alt')) complaints.push(`no alt: ${describe(node)}`);

  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = ([r, g, b]) => {
    const linear = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const backgroundOf = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const { rgb, a } = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !visible(node) || node.closest('.visually-hidden, noscript')) continue;
    const [light, dark] = [luminance(parse(getComputedStyle(node).color).rgb), luminance(backgroundOf(node))].sort(
      (a, b) => b - a,
    );
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) complaints.push(`contrast ${ratio.toFixed(2)}: ${describe(node)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) complaints.push('scrolls sideways');
  return complaints;
}

/** Complaints about what a page shows now, in light and in dark. */
export async function complaints(page) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const complaint of await page.evaluate(inspect)) found.push(`${colorScheme}: ${complaint}`);
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}
