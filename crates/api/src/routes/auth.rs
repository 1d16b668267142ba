//! Signing in and out, sessions, tickets.

use axum::{Json as Body, extract::State};
use chat::Chat;
use http::StatusCode;
use protocol::{
    GuestRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, Session, SessionId, Ticket,
    TicketRequest, TokenResponse,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Path},
    json::{Json, OptionalJson},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(sign_in_guest))
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(list_sessions))
        .routes(routes!(revoke_session))
        .routes(routes!(issue_ticket))
}

/// Sign in with a name alone (where the operator allows it).
#[utoipa::path(post, path = "/auth/guest", tag = "auth", request_body = GuestRequest,
    responses((status = 201, description = "Signed in.", body = TokenResponse)))]
async fn sign_in_guest(
    State(chat): State<Chat>,
    Json(request): Json<GuestRequest>,
) -> Result<(StatusCode, Body<TokenResponse>)> {
    Ok((StatusCode::CREATED, Body(chat.sign_in_guest(request).await?)))
}

/// Make a user with a password, and sign in.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterRequest,
    responses((status = 201, description = "Signed in.", body = TokenResponse)))]
async fn register(
    State(chat): State<Chat>,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Body<TokenResponse>)> {
    Ok((StatusCode::CREATED, Body(chat.register(request).await?)))
}

/// Sign in with a password.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest,
    responses((status = 200, description = "Signed in.", body = TokenResponse)))]
async fn login(State(chat): State<Chat>, Json(request): Json<LoginRequest>) -> Result<Body<TokenResponse>> {
    Ok(Body(chat.login(request).await?))
}

/// Exchange a refresh token for fresh tokens. A refresh token works once; using it again ends its session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest,
    responses((status = 200, description = "Fresh tokens.", body = TokenResponse)))]
async fn refresh(State(chat): State<Chat>, Json(request): Json<RefreshRequest>) -> Result<Body<TokenResponse>> {
    Ok(Body(chat.refresh(request).await?))
}

/// End this session, or all of one's own. The body may be absent.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", request_body = Option<LogoutRequest>,
    responses((status = 204, description = "Ended.")), security(("bearer" = [])))]
async fn logout(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    OptionalJson(request): OptionalJson<LogoutRequest>,
) -> Result<StatusCode> {
    chat.logout(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's own sessions, newest first.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth",
    responses((status = 200, description = "All of them; `next_cursor` is null.", body = protocol::Page<Session>)),
    security(("bearer" = [])))]
async fn list_sessions(State(chat): State<Chat>, Auth(caller): Auth) -> Result<Body<protocol::Page<Session>>> {
    let items = chat.sessions(&caller).await?;
    Ok(Body(protocol::Page { items, next_cursor: None }))
}

/// End one of one's own sessions; its sockets close.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "auth",
    params(("id" = SessionId, Path, description = "Which.")),
    responses((status = 204, description = "Ended.")), security(("bearer" = [])))]
async fn revoke_session(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<SessionId>) -> Result<StatusCode> {
    chat.revoke_session(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A ticket, for browsers: one that opens one socket within 30 s (`GET /v1/ws?ticket=…`), or one for events that is
/// good until the token that bought it ends (`GET /v1/events?ticket=…`). The body may be absent.
#[utoipa::path(post, path = "/tickets", tag = "auth", request_body = Option<TicketRequest>,
    responses((status = 201, description = "The ticket.", body = Ticket)), security(("bearer" = [])))]
async fn issue_ticket(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    OptionalJson(request): OptionalJson<TicketRequest>,
) -> Result<(StatusCode, Body<Ticket>)> {
    Ok((StatusCode::CREATED, Body(chat.issue_ticket(&caller, request).await?)))
}
