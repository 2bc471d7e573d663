"""Notes that programs read and write with tokens, and a page that is for everybody: ``flask run``."""

from flask import Flask, jsonify, request

from patmiddleware.integrations.flask import PersonalAccessTokens, Refused, current_grant, require_scope

app = Flask(__name__)
app.config["PATMIDDLEWARE_STORE"] = "sqlite:///tokens.db"
app.config["PATMIDDLEWARE_POLICY"] = "policy.toml"
PersonalAccessTokens(app)

notes: list[dict[str, str]] = []


@app.get("/")
def front_page():
    """Greet whoever comes, by name if a token says who it is."""
    return f"Hello {current_grant.owner if current_grant else 'stranger'}: {len(notes)} notes are kept here.\n"


@app.get("/notes")
@require_scope("read")
def all_notes():
    """Show all notes."""
    return jsonify(notes)


@app.post("/notes")
@require_scope("write")
def add_note():
    """Keep a note, with the name of the token's owner."""
    notes.append({"by": current_grant.owner, "text": request.get_data(as_text=True)})
    return jsonify(notes[-1]), 201


@app.errorhandler(Refused)
def refused(error):
    """Answer as usual, and say where help is: leave this out, and the answer is a problem of RFC 9457."""
    response = error.get_response()
    response.data = f"{error.description} Ask the help desk for a token.\n"
    response.content_type = "text/plain; charset=utf-8"
    return response
