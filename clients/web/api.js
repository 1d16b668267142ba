// REST calls. Promises: the access token is fresh, a 401 is retried once after a refresh, and every
// failure is an ApiError with the server's stable code (`network` and `timeout` when none answered).

const TIMEOUT_MS = 15_000;
const REFRESH_AHEAD_MS = 30_000;
/** Longer requests than this end with the page that sent them. */
const KEEPALIVE_CHARS = 1_000;

export class ApiError extends Error {
  constructor({ status = 0, code, message, errors = [], retryAfterMs = null }) {
    super(message);
    this.name = 'ApiError';
    Object.assign(this, { status, code, errors, retryAfterMs });
  }
}

async function failure(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy's own page: the status has to do.
  }
  const header = Number(response.headers.get('retry-after'));
  return new ApiError({
    status: response.status,
    code: problem.code ?? `http_${response.status}`,
    message: problem.detail || problem.title || `The server answered ${response.status}.`,
    errors: problem.errors ?? [],
    retryAfterMs: problem.retry_after_ms ?? (header > 0 ? header * 1000 : null),
  });
}

/** A random id of 128 bits; `crypto.randomUUID` exists on https and localhost only. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Api {
  /** `onSignedOut(error)` is called once the session cannot be refreshed any more. */
  constructor(session, onSignedOut) {
    this.session = session;
    this.onSignedOut = onSignedOut;
  }

  get(path, query = {}) {
    const wanted = Object.entries(query).filter(
      ([, value]) => value !== null && value !== undefined && value !== '',
    );
    const search = new URLSearchParams(wanted).toString();
    return this.#call('GET', search ? `${path}?${search}` : path);
  }

  post(path, body = {}, headers = {}) {
    return this.#call('POST', path, body, headers);
  }

  put(path) {
    return this.#call('PUT', path);
  }

  patch(path, body) {
    return this.#call('PATCH', path, body);
  }

  delete(path) {
    return this.#call('DELETE', path);
  }

  /** `guest`, `login` or `register`; keeps the tokens. */
  async signIn(way, body) {
    const tokens = await this.#fetch('POST', `/v1/auth/${way}`, body, {}, null);
    this.session.set(tokens);
    return tokens.user;
  }

  /** Signs in with another system's token; keeps it while it lives. */
  async useToken(token) {
    const user = await this.#fetch('GET', '/v1/me', undefined, {}, token);
    this.session.set({ access_token: token, user });
    return user;
  }

  /** Ends the session here and, when it can be reached, on the server. */
  async signOut() {
    try {
      if (this.session.get()?.refresh_token) await this.post('/v1/auth/logout', {});
    } catch {
      // Signing out works offline too; the server's session ends by itself.
    }
    this.session.clear();
  }

  /** An access token with some life left. */
  async token(aheadMs = REFRESH_AHEAD_MS) {
    const session = this.session.get();
    if (!session) throw this.#signedOut(null);
    const ends = session.expires_at ?? Infinity;
    if (ends - Date.now() > aheadMs || !session.refresh_token) return session.access_token;
    return this.#refresh(session.access_token);
  }

  async #call(method, path, body, headers = {}) {
    const token = await this.token();
    try {
      return await this.#fetch(method, path, body, headers, token);
    } catch (error) {
      if (error.status !== 401) throw error;
      return this.#fetch(method, path, body, headers, await this.#refresh(token, error));
    }
  }

  /** Exchanges the refresh token, unless another tab has done so since `stale` was read. */
  #refresh(stale, cause = null) {
    return this.session.rotate(stale, async (session) => {
      if (!session?.refresh_token) throw this.#signedOut(cause);
      try {
        return await this.#fetch('POST', '/v1/auth/refresh', { refresh_token: session.refresh_token }, {}, null);
      } catch (error) {
        // 4xx but "too often": the refresh token itself is refused, and asking again will not help.
        if (error.status >= 400 && error.status < 500 && ![408, 429].includes(error.status)) {
          throw this.#signedOut(error);
        }
        throw error;
      }
    });
  }

  #signedOut(cause) {
    this.session.clear();
    const message =
      cause?.code === 'user_disabled' ? cause.message : 'Your session has ended. Please sign in again.';
    const error = new ApiError({ status: 401, code: cause?.code ?? 'not_authenticated', message });
    this.onSignedOut(error);
    return error;
  }

  async #fetch(method, path, body, headers, token) {
    const all = { accept: 'application/json', ...headers };
    if (body !== undefined) all['content-type'] = 'application/json';
    if (token) all.authorization = `Bearer ${token}`;
    const sent = body === undefined ? undefined : JSON.stringify(body);
    let response;
    try {
      response = await fetch(path, {
        method,
        headers: all,
        body: sent,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        cache: 'no-store',
        // What was done just before the page was left or loaded again still reaches the server. Browsers allow 64 KiB
        // of such bodies at a time.
        keepalive: method !== 'GET' && (sent?.length ?? 0) <= KEEPALIVE_CHARS,
      });
    } catch (error) {
      const late = error.name === 'TimeoutError';
      throw new ApiError({
        code: late ? 'timeout' : 'network',
        message: late ? 'The server took too long to answer.' : 'The server cannot be reached.',
      });
    }
    if (!response.ok) throw await failure(response);
    if (response.status === 204) return null;
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  }
}
