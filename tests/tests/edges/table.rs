//! Who may do what: a row for each operation of REST and each command, a column for each role. The columns and their
//! words are explained in `permissions`; what stands for what in a request, in `stage`.

/// Operations of the OpenAPI document. A row that begins with `in a room:` is played in a public room, one that begins
/// with `of the owner:` has a message of the owner in place of the member's (or of the blocked one's).
pub(crate) const REST: &str = r#"
# ---- for everybody           owner admin memb  former outs  foreig block boss  disab anon
GET /v1/asyncapi.json
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
GET /v1/openapi.json
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
GET /v1/docs
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
POST /v1/auth/guest {"username":"$fresh"}
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
POST /v1/auth/register {"username":"$fresh","password":"correct horse"}
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
POST /v1/auth/login {"username":"$login","password":"correct horse"}
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok
POST /v1/auth/refresh {"refresh_token":"$refresh"}
                               ok    ok    ok    ok    ok    ok    ok    ok    ok    ok

# ---- one's own               owner admin memb  former outs  foreig block boss  disab anon
POST /v1/auth/logout {"all":true}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
POST /v1/auth/logout
                               403   403   403   403   403   403   403   403   off   401
GET /v1/auth/sessions
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
DELETE /v1/auth/sessions/{id}
                               404   404   404   404   404   404   404   404   off   401
POST /v1/tickets {"for":"ws"}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/me
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
PATCH /v1/me {"status_text":"away"}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/me/blocks
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/me/notification-preferences
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
PATCH /v1/me/notification-preferences {"notify":"mentions"}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/notifications
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
POST /v1/notifications/read
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/unread
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/announcements
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
POST /v1/announcements/read {"seq":0}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401

# ---- people                  owner admin memb  former outs  foreig block boss  disab anon
GET /v1/users
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/users/{id}
                               ok    ok    ok    ok    ok    404   ok    ok    off   401
PUT /v1/users/{id}/block
                               ok    ok    ok    ok    ok    404   ok    ok    off   401
DELETE /v1/users/{id}/block
                               ok    ok    ok    ok    ok    404   ok    ok    off   401
GET /v1/users/{id}/presence
                               ok    ok    ok    404   404   404   404   404   off   401
GET /v1/presence?ids=$target
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
POST /v1/reports {"message_id":"$message","reason":"spam"}
                               ok    ok    403   404   404   404   403   404   off   401
POST /v1/reports {"user_id":"$target","reason":"spam"}
                               ok    ok    ok    ok    ok    404   ok    ok    off   401

# ---- the org                 owner admin memb  former outs  foreig block boss  disab anon
POST /v1/announcements {"title":"News","content":"On Sunday."}
                               403   403   403   403   403   ok    403   ok    off   401
GET /v1/org/users
                               403   403   403   403   403   ok    403   ok    off   401
PATCH /v1/org/users/{id} {"role":"member"}
                               403   403   403   403   403   404   403   ok    off   401
PATCH /v1/org/users/{id} {"disabled":true}
                               403   403   403   403   403   404   403   ok    off   401
GET /v1/org/reports
                               403   403   403   403   403   ok    403   ok    off   401
PATCH /v1/org/reports/{id} {"status":"resolved"}
                               403   403   403   403   403   404   403   ok    off   401
GET /v1/org/audit
                               403   403   403   403   403   ok    403   ok    off   401

# ---- conversations           owner admin memb  former outs  foreig block boss  disab anon
GET /v1/conversations
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/conversations/public
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
POST /v1/conversations {"kind":"group","title":"New","participant_ids":["$target"]}
                               ok    ok    ok    ok    ok    inval ok    ok    off   401
POST /v1/conversations {"kind":"direct","participant_ids":["$target"]}
                               ok    ok    ok    ok    ok    inval ok    ok    off   401
POST /v1/conversations {"kind":"direct","participant_ids":["$target"],"subject":{"type":"a","id":"1","title":"A"}}
                               ok    ok    ok    ok    ok    inval block ok    off   401
GET /v1/conversations/{id}
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: GET /v1/conversations/{id}
                               ok    ok    ok    ok    ok    404   ok    ok    off   401
PATCH /v1/conversations/{id} {"title":"New"}
                               ok    ok    403   404   404   404   kind  404   off   401
PATCH /v1/conversations/{id} {"archived":true}
                               ok    ok    403   404   404   404   kind  404   off   401
in a room: PATCH /v1/conversations/{id} {"slow_mode_seconds":5}
                               ok    ok    403   join  join  404   403   join  off   401
DELETE /v1/conversations/{id}
                               ok    403   403   404   404   404   kind  404   off   401
in a room: DELETE /v1/conversations/{id}
                               ok    403   403   join  join  404   403   join  off   401
POST /v1/conversations/{id}/join
                               kind  kind  kind  404   404   404   kind  404   off   401
in a room: POST /v1/conversations/{id}/join
                               ok    ok    ok    ok    ok    404   ok    ok    off   401
POST /v1/conversations/{id}/leave
                               last  ok    ok    404   404   404   kind  404   off   401
in a room: POST /v1/conversations/{id}/leave
                               last  ok    ok    join  join  404   ok    join  off   401
GET /v1/conversations/{id}/participants
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: GET /v1/conversations/{id}/participants
                               ok    ok    ok    join  join  404   ok    join  off   401
POST /v1/conversations/{id}/participants {"user_ids":["$stranger"]}
                               ok    ok    403   404   404   404   kind  404   off   401
in a room: POST /v1/conversations/{id}/participants {"user_ids":["$stranger"]}
                               kind  kind  kind  join  join  404   kind  join  off   401
GET /v1/conversations/{id}/participants/{user_id}
                               ok    ok    ok    404   404   404   ok    404   off   401
PATCH /v1/conversations/{id}/participants/{user_id} {"role":"admin"}
                               ok    403   403   404   404   404   kind  404   off   401
DELETE /v1/conversations/{id}/participants/{user_id}
                               ok    ok    403   404   404   404   kind  404   off   401
PATCH /v1/conversations/{id}/preferences {"notify":"none"}
                               ok    ok    ok    404   404   404   ok    404   off   401
POST /v1/conversations/{id}/typing {"typing":true}
                               ok    ok    ok    404   404   404   block 404   off   401

# ---- messages                owner admin memb  former outs  foreig block boss  disab anon
GET /v1/conversations/{id}/messages
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: GET /v1/conversations/{id}/messages
                               ok    ok    ok    join  join  404   ok    join  off   401
POST /v1/conversations/{id}/messages {"content":"hi"}
                               ok    ok    ok    404   404   404   block 404   off   401
in a room: POST /v1/conversations/{id}/messages {"content":"hi"}
                               ok    ok    ok    join  join  404   ok    join  off   401
POST /v1/conversations/{id}/messages {"content":"@all","mentions":[{"offset":0,"length":4}]}
                               ok    ok    403   404   404   404   block 404   off   401
GET /v1/conversations/{id}/changes?after=0
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: GET /v1/conversations/{id}/changes?after=0
                               ok    ok    ok    join  join  404   ok    join  off   401
GET /v1/conversations/{id}/pins
                               ok    ok    ok    404   404   404   ok    404   off   401
GET /v1/search/messages?query=secret
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/search/messages?query=secret&conversation_id=$conversation
                               ok    ok    ok    404   404   404   ok    404   off   401
GET /v1/messages/{id}
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: GET /v1/messages/{id}
                               ok    ok    ok    join  join  404   ok    join  off   401
PATCH /v1/messages/{id} {"content":"new"}
                               403   403   ok    404   404   404   block 404   off   401
DELETE /v1/messages/{id}
                               ok    ok    ok    404   404   404   ok    404   off   401
of the owner: PATCH /v1/messages/{id} {"content":"new"}
                               ok    403   403   404   404   404   403   404   off   401
of the owner: DELETE /v1/messages/{id}
                               ok    ok    403   404   404   404   403   404   off   401
in a room: DELETE /v1/messages/{id}
                               ok    ok    ok    join  join  404   403   join  off   401
GET /v1/messages/{id}/edits
                               ok    ok    ok    404   404   404   ok    404   off   401
GET /v1/messages/{id}/thread
                               ok    ok    ok    404   404   404   ok    404   off   401
GET /v1/messages/{id}/reactions
                               ok    ok    ok    404   404   404   ok    404   off   401
PUT /v1/messages/{id}/reactions/{emoji}
                               ok    ok    ok    404   404   404   block 404   off   401
in a room: PUT /v1/messages/{id}/reactions/{emoji}
                               ok    ok    ok    join  join  404   ok    join  off   401
DELETE /v1/messages/{id}/reactions/{emoji}
                               ok    ok    ok    404   404   404   block 404   off   401
PUT /v1/messages/{id}/pin
                               ok    ok    403   404   404   404   ok    404   off   401
in a room: PUT /v1/messages/{id}/pin
                               ok    ok    403   join  join  404   403   join  off   401
DELETE /v1/messages/{id}/pin
                               ok    ok    403   404   404   404   ok    404   off   401

# ---- markers                 owner admin memb  former outs  foreig block boss  disab anon
POST /v1/conversations/{id}/read {"seq":1}
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: POST /v1/conversations/{id}/read {"seq":1}
                               ok    ok    ok    join  join  404   ok    join  off   401
POST /v1/conversations/{id}/delivered {"seq":1}
                               ok    ok    ok    404   404   404   ok    404   off   401
POST /v1/read {"items":[{"conversation_id":"$conversation","seq":1}]}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
GET /v1/messages/{id}/receipts
                               ok    ok    ok    404   404   404   ok    404   off   401
"#;

/// Commands of the socket.
pub(crate) const COMMANDS: &str = r#"
#                              owner admin memb  former outs  foreig block boss  disab anon
hello {}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
ping {}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
auth.renew {"token":"$token"}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
message.send {"conversation_id":"$conversation","content":"hi","client_id":"1"}
                               ok    ok    ok    404   404   404   block 404   off   401
in a room: message.send {"conversation_id":"$conversation","content":"hi","client_id":"1"}
                               ok    ok    ok    join  join  404   ok    join  off   401
message.edit {"message_id":"$message","content":"new"}
                               403   403   ok    404   404   404   block 404   off   401
message.delete {"message_id":"$message"}
                               ok    ok    ok    404   404   404   ok    404   off   401
of the owner: message.delete {"message_id":"$message"}
                               ok    ok    403   404   404   404   403   404   off   401
message.pin {"message_id":"$message"}
                               ok    ok    403   404   404   404   ok    404   off   401
message.unpin {"message_id":"$message"}
                               ok    ok    403   404   404   404   ok    404   off   401
reaction.add {"message_id":"$message","emoji":"👍"}
                               ok    ok    ok    404   404   404   block 404   off   401
reaction.remove {"message_id":"$message","emoji":"👍"}
                               ok    ok    ok    404   404   404   block 404   off   401
typing.start {"conversation_id":"$conversation"}
                               ok    ok    ok    404   404   404   block 404   off   401
typing.stop {"conversation_id":"$conversation"}
                               ok    ok    ok    404   404   404   block 404   off   401
presence.set {"state":"away","focus":"$conversation"}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
presence.watch {"user_ids":["$target"]}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
presence.unwatch {"user_ids":["$target"]}
                               ok    ok    ok    ok    ok    ok    ok    ok    off   401
receipt.read {"conversation_id":"$conversation","seq":1}
                               ok    ok    ok    404   404   404   ok    404   off   401
receipt.delivered {"conversation_id":"$conversation","seq":1}
                               ok    ok    ok    404   404   404   ok    404   off   401
changes.get {"conversation_id":"$conversation","after":0}
                               ok    ok    ok    404   404   404   ok    404   off   401
in a room: changes.get {"conversation_id":"$conversation","after":0}
                               ok    ok    ok    join  join  404   ok    join  off   401
"#;
