"""The OpenAPI document: valid, complete, and true of the structs and the examples."""

from typing import Any, cast

import jsonschema
import msgspec
import pytest

from handlers.http.openapi import EXAMPLES, STRUCTS
from tests.handlers.bench import Bench
from tests.handlers.http_bench import Web, problem


@pytest.fixture
async def document(bench: Bench) -> dict[str, Any]:
    async with Web(bench).nobody() as reader:
        answer = await reader.get("/schema")
        assert (await reader.get("/schema/openapi.json")).json() == answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


async def test_every_endpoint_is_described_with_its_problems_and_what_it_needs(
    document: dict[str, Any],
) -> None:
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    for name in ("me", "projects", "overview", "workers", "workflows", "work-orders", "runs",
                 "stats", "health", "runs/bulk", "runs/{run_id}", "runs/{run_id}/logs",
                 "runs/{run_id}/logs.ndjson", "runs/{run_id}/retry", "runs/{run_id}/cancel",
                 "dataclips/{dataclip_id}", "workflows/{workflow_id}", "pipelines",
                 "pipelines/{pipeline_id}", "pipelines/dispatch", "emissions/totals"):  # fmt: skip
        assert f"/api/{name}" in paths, name
    for path, methods in paths.items():
        for operation in methods.values():
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}, path
            assert ("security" in operation) is path.startswith("/api"), path
    names = [each["name"] for each in paths["/api/runs"]["get"]["parameters"]]
    wanted = ["project", "workflow", "state", "worker", "from", "to", "q", "limit", "cursor"]
    assert names == wanted
    bulk = paths["/api/runs/bulk"]["post"]
    assert bulk["requestBody"]["required"] is True
    assert set(bulk["responses"]["200"]["content"]) == {"application/x-ndjson", "text/event-stream"}
    assert set(paths["/api/runs/{run_id}/cancel"]["post"]["responses"]) == {
        "200",
        "202",
        "default",
    }


async def test_every_reference_leads_somewhere_and_every_schema_is_one(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found = cast("dict[str, Any]", value)
            if "$ref" in found:
                assert found["$ref"].rpartition("/")[2] in schemas, found
            for each in found.values():
                walk(each)
        elif isinstance(value, list):
            for each in cast("list[Any]", value):
                walk(each)

    walk(document)


async def test_examples_are_what_they_are_examples_of(document: dict[str, Any]) -> None:
    structs = {struct.__name__: struct for struct in STRUCTS}
    shown = str(document["paths"])
    for name, example in EXAMPLES.items():
        msgspec.convert(example, structs[name], strict=False)
        schema = {
            "$ref": f"#/components/schemas/{name}",
            "components": document["components"],
        }
        jsonschema.validate(example, schema, jsonschema.Draft202012Validator)
        assert f"schemas/{name}'" in shown, name


async def test_every_json_body_of_the_api_has_a_schema_and_an_example_that_fits_it(
    document: dict[str, Any],
) -> None:
    operations = [
        operation
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if path.startswith("/api/")
    ]
    bodies = [
        (kind, media)
        for operation in operations
        for body in (operation.get("requestBody", {}), *operation["responses"].values())
        for kind, media in body.get("content", {}).items()
        if kind.endswith("json") or kind == "multipart/form-data"
    ]
    for kind, media in bodies:
        assert "$ref" in str(media["schema"]) or "additionalProperties" in media["schema"]
        schema = {**media["schema"], "components": document["components"]}
        jsonschema.validate(media["example"], schema, jsonschema.Draft202012Validator)
        assert media["example"], kind
    dispatch = document["paths"]["/api/pipelines/dispatch"]["post"]
    assert set(dispatch["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert set(dispatch["responses"]) == {"202", "default"}


async def test_the_schema_of_a_run_has_no_field_too_many_or_too_few(
    document: dict[str, Any],
) -> None:
    run = document["components"]["schemas"]["Run"]
    assert run["additionalProperties"] is False
    assert set(run["required"]) == set(run["properties"])
    assert run["properties"]["inserted_at"] == {"type": "string", "format": "date-time"}


async def test_unknown_addresses_below_the_document_are_problems_as_everywhere(
    bench: Bench,
) -> None:
    async with Web(bench).nobody() as reader:
        for name in ("swagger", "openapi.yaml", "a/b"):
            assert problem(await reader.get(f"/schema/{name}")) == (404, "not_found")
