// Reads a REST list to its end, page by page.

const PAGE = 100;

/** The first `max` items or a few more, and whether that is the whole list. A page that does not come is an error. */
export async function allPages(api, path, max) {
  const items = [];
  let cursor = null;
  do {
    const page = await api.get(path, { limit: PAGE, cursor });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < max);
  return { items, whole: cursor === null };
}
