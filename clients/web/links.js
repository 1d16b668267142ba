// Addresses that other people wrote. Promises: nothing but http and https becomes a link, a picture or a player, and
// the page asks for nothing that its own policy (crates/server/src/serve/web.rs) forbids: that would stay empty.

/** What the policy's `media-src` lets play besides this server's own files. */
const MEDIA_FROM = ['https:'];
/** The same of `img-src`. */
const PICTURES_FROM = ['https:'];

function parsed(url) {
  try {
    const address = new URL(url);
    return address.protocol === 'https:' || address.protocol === 'http:' ? address : null;
  } catch {
    return null;
  }
}

/** The address as a link may have it; null where it is none. */
export function webAddress(url) {
  return parsed(url)?.href ?? null;
}

/** The address of a picture that the page may show; null where it may only link to it. */
export function pictureAddress(url, origin = globalThis.location?.origin) {
  return allowed(url, PICTURES_FROM, origin);
}

/** The address of a video or sound that the page may play; null where it may only link to it. */
export function mediaAddress(url, origin = globalThis.location?.origin, from = MEDIA_FROM) {
  return allowed(url, from, origin);
}

function allowed(url, protocols, origin) {
  const address = parsed(url);
  return address && (address.origin === origin || protocols.includes(address.protocol)) ? address.href : null;
}

/** What to call a file that nobody named: the end of its address. */
export function nameInAddress(url) {
  const end = parsed(url)?.pathname.split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(end);
  } catch {
    return end;
  }
}
