"""Project specs: what is read, and that every problem names its file, line and field."""

import textwrap
from pathlib import Path

import pytest

from handlers.spec import ProjectSpec, parse_spec, read_spec
from handlers.spec_nodes import SpecError, SpecProblem

GOOD = """\
name: orders
retention_policy: erase_all
concurrency: 4
options: {run_timeout_ms: 60000, job_logs: false}
credentials:
  shop:
    name: Shop
    body: {token: abc, port: 8080, ratio: 0.5, tls: true, tags: [a, null]}
workflows:
  new-order:
    name: New order
    concurrency: 2
    jobs:
      check:
        name: Check
        adaptor: "@openfn/language-common@latest"
        body: |
          fn(state => state)
        credential: shop
      report:
        adaptor: "@openfn/language-common@latest"
        body: fn(state => state)
    triggers:
      webhook:
        type: webhook
        enabled: true
        webhook_reply: after_completion
        webhook_response_config: {success_code: 200, error_code: 422}
      nightly:
        type: cron
        cron_expression: "0 3 * * *"
        enabled: false
    edges:
      webhook->check:
        source_trigger: webhook
        target_job: check
        condition_type: always
        condition_label: anything goes
      check->report:
        source_job: check
        target_job: report
        condition_type: js_expression
        condition_expression: state.data.n > 1
        enabled: false
"""


def problems(text: str) -> list[SpecProblem]:
    with pytest.raises(SpecError) as caught:
        parse_spec(textwrap.dedent(text), file="p.yaml")
    return caught.value.problems


def broken(text: str) -> list[str]:
    return [str(problem) for problem in problems(text)]


def changed(old: str, new: str) -> list[str]:
    assert GOOD.count(old) == 1, f"{old!r} must name one place"
    return broken(GOOD.replace(old, new))


def test_a_whole_spec_is_read() -> None:
    project = parse_spec(GOOD)
    assert (project.name, project.retention_policy, project.concurrency) == (
        "orders",
        "erase_all",
        4,
    )
    assert project.options == {"run_timeout_ms": 60000, "job_logs": False}
    (credential,) = project.credentials
    assert (credential.key, credential.name) == ("shop", "Shop")
    assert credential.body == {
        "token": "abc",
        "port": 8080,
        "ratio": 0.5,
        "tls": True,
        "tags": ["a", None],
    }
    (workflow,) = project.workflows
    assert (workflow.key, workflow.name, workflow.concurrency) == ("new-order", "New order", 2)
    check, report = workflow.jobs
    assert (check.name, check.body, check.credential) == ("Check", "fn(state => state)\n", "shop")
    assert (report.name, report.credential) == ("report", None)
    webhook, nightly = workflow.triggers
    assert webhook.webhook_reply == "after_completion"
    assert webhook.webhook_response_config == {"success_code": 200, "error_code": 422}
    assert (nightly.webhook_reply, nightly.cron_expression) == ("before_start", "0 3 * * *")
    first, second = workflow.edges
    assert (first.source_trigger, first.target_job, first.enabled) == ("webhook", "check", True)
    assert (second.condition_type, second.condition_expression, second.enabled) == (
        "js_expression",
        "state.data.n > 1",
        False,
    )


def test_what_is_left_out_has_the_documented_default() -> None:
    project = parse_spec(
        """
        name: p
        workflows:
          w:
            jobs: {a: {adaptor: x, body: y}}
            triggers: {t: {type: webhook}}
            edges: {e: {source_trigger: t, target_job: a}}
        """
    )
    (workflow,) = project.workflows
    assert (project.retention_policy, project.concurrency, workflow.concurrency) == (
        "retain_all",
        None,
        None,
    )
    assert project.options is None
    assert (workflow.name, workflow.jobs[0].name) == ("w", "a")
    assert (workflow.triggers[0].enabled, workflow.triggers[0].webhook_reply) == (
        True,
        "before_start",
    )
    assert (workflow.edges[0].enabled, workflow.edges[0].condition_type) == (True, "always")


def test_a_file_is_read_and_named_in_its_problems(tmp_path: Path) -> None:
    file = tmp_path / "project.yaml"
    file.write_text(GOOD)
    assert isinstance(read_spec(file), ProjectSpec)
    file.write_text("name: 1\n")
    with pytest.raises(SpecError, match=f"^{file}:1: name: must be text"):
        read_spec(file)


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"name: a\n# \xe9\n")
    with pytest.raises(SpecError, match=r"latin\.yaml:2: is not UTF-8 text"):
        read_spec(file)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    file.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(SpecError, match="is larger than"):
        read_spec(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "p.yaml:1: is not valid YAML"),
        ("name: a\n  b: c", "p.yaml:2: is not valid YAML"),
        ("a: &x\nb: *y", "p.yaml:2: is not valid YAML: found undefined alias"),
        ("[" * 20_000, "p.yaml:1: is not valid YAML"),
        ("name: \x00", "p.yaml:1: is not valid YAML"),
        ("", "p.yaml:1: is empty"),
        ("- a", "p.yaml:1: must be a mapping of fields"),
        ("? [a]\n: b", "p.yaml:1: keys must be plain text"),
    ],
)
def test_what_is_no_spec_at_all_is_named_with_its_line(text: str, message: str) -> None:
    assert any(problem.startswith(message) for problem in broken(text)), broken(text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: orders", "nam: orders", "p.yaml:1: nam: is not a known field"),
        ("name: orders", "name: ''", "p.yaml:1: name: is required"),
        ("name: orders", "name: 12", "p.yaml:1: name: must be text (put it in quotes)"),
        ("erase_all", "forget", "p.yaml:2: retention_policy: must be one of retain_all"),
        ("concurrency: 4", "concurrency: 0", "p.yaml:3: concurrency: must be a whole number above"),
        ("concurrency: 4", "concurrency: x", "p.yaml:3: concurrency: must be a whole number"),
        ("type: cron", "type: tron", "p.yaml:30: workflows.new-order.triggers.nightly.type: must"),
        ("    enabled: true", "    enabled: 1", "webhook.enabled: must be true or false"),
        ("        body: |\n          fn(state => state)\n", "", "jobs.check.body: is required"),
        ("{token: abc", "[{token: abc}] #", "p.yaml:8: credentials.shop.body: must be a mapping"),
        ("{token: abc", "{[1]: abc", "p.yaml:8: credentials.shop.body: has a key that is no text"),
        (
            "name: Shop",
            "name: Shop\n    name: Shop",
            "p.yaml:8: credentials.shop.name: is given tw",
        ),
        (
            "      report:\n",
            "      other: 3\n      report:\n",
            "jobs.other: must be a mapping of fie",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    assert any(expected in problem for problem in broken(text)), broken(text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "credential: shop",
            "credential: shp",
            'p.yaml:19: workflows.new-order.jobs.check.credential: there is no credential "shp" in '
            "this project (there is: shop)",
        ),
        (
            "source_trigger: webhook\n",
            "source_trigger: hook\n",
            'source_trigger: there is no trigger "hook" in this workflow (there is: webhook, night',
        ),
        ("source_job: check", "source_job: chck", 'source_job: there is no job "chck"'),
        ("target_job: report", "target_job: rep", 'target_job: there is no job "rep"'),
        ("        source_job: check\n", "", "check->report: needs either source_trigger or"),
        (
            "condition_type: always",
            "condition_type: on_job_success",
            "webhook->check.condition_type: must be always or js_expression",
        ),
        (
            "condition_type: always",
            "condition_type: js_expression",
            "webhook->check.condition_expression: is required with condition_type js_expression",
        ),
        (
            "condition_type: js_expression",
            "condition_type: always",
            "check->report.condition_expression: is only used with condition_type js_expression",
        ),
        ('        cron_expression: "0 3 * * *"\n', "", "cron_expression: is required with type c"),
        ('"0 3 * * *"', '"0 3 *"', "cron_expression: must have five parts"),
        ('"0 3 * * *"', '"@daily"', "cron_expression: must have five parts"),
        ('"0 3 * * *"', '"99 3 * * *"', 'cron_expression: is no time: "99 3 * * *" (Bad minute)'),
        ("type: cron", "type: kafka", "cron_expression: is only used with type cron"),
        ("success_code: 200", "success: 200", 'has an unknown field "success"'),
        ("success_code: 200", "success_code: 20", "success_code must be an HTTP status"),
        ("type: webhook", "type: kafka", "webhook_response_config: is only used with type webhook"),
        (
            "      report:\n",
            "      report:\n        name: Check\n",
            'report.name: "Check" is the na',
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_field(old: str, new: str, expected: str) -> None:
    found = changed(old, new)
    assert any(expected in problem for problem in found), found


def test_an_enabled_trigger_without_an_enabled_edge_is_refused() -> None:
    (problem,) = changed(
        "condition_label: anything goes",
        "enabled: false",
    )
    assert problem.startswith("p.yaml:24: workflows.new-order.triggers.webhook: is enabled, but no")


def test_a_disabled_trigger_needs_no_edge() -> None:
    text = GOOD.replace("condition_label: anything goes", "enabled: false")
    parse_spec(text.replace("        enabled: true\n", "        enabled: false\n"))


def test_a_project_without_workflows_and_a_workflow_without_jobs_are_refused() -> None:
    assert broken("name: p") == [
        "p.yaml:1: workflows: is required: a project needs at least one workflow"
    ]
    assert any(
        "workflows.w.jobs: is required" in line for line in broken("name: p\nworkflows: {w: }")
    )


def chain(*pairs: tuple[str, str]) -> str:
    jobs = sorted({job for pair in pairs for job in pair})
    lines = ["name: p", "workflows:", "  w:", "    jobs:"]
    lines += [f"      {job}: {{adaptor: x, body: y}}" for job in jobs]
    lines += ["    edges:"]
    lines += [f"      {a}->{b}: {{source_job: {a}, target_job: {b}}}" for a, b in pairs]
    return "\n".join(lines)


def test_a_circle_of_jobs_is_refused_and_names_the_closing_edge() -> None:
    (problem,) = broken(chain(("a", "b"), ("b", "c"), ("c", "a")))
    assert problem == (
        "p.yaml:11: workflows.w.edges.c->a: closes a circle: a job must not be reached from itself"
    )
    (problem,) = broken(chain(("a", "a")))
    assert "edges.a->a: closes a circle" in problem


def test_branches_that_meet_again_are_no_circle() -> None:
    parse_spec(chain(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")))


def test_a_very_long_chain_is_checked_without_recursion() -> None:
    pairs = [(f"j{n:04}", f"j{n + 1:04}") for n in range(1500)]
    parse_spec(chain(*pairs))


def test_all_problems_of_a_file_are_found_at_once_in_the_order_of_lines() -> None:
    found = problems("name: 1\nconcurrency: x\nworkflows:\n  w: {jobs: {a: {body: 1}}}\nmore: 1\n")
    assert [problem.line for problem in found] == [1, 2, 4, 4, 5]
    assert [problem.field for problem in found][-1] == "more"


def test_aliases_cannot_expand_without_bound() -> None:
    lines = ["name: p", "credentials:", "  c:", "    body:", "      a0: &a0 {x: 1}"]
    lines += [f"      a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    (problem, *_) = broken("\n".join(lines))
    assert "credentials.c.body: is nested too deeply or too large" in problem


def test_an_alias_of_itself_is_refused() -> None:
    (problem, *_) = broken("name: p\ncredentials: {c: {body: &b {again: *b}}}")
    assert "credentials.c.body: is nested too deeply or too large" in problem


def test_odd_scalars_of_a_free_field_stay_text() -> None:
    project = parse_spec(
        GOOD.replace("token: abc", "token: .inf, day: 2026-01-02, hex: 0x10, neg: -3")
    )
    body = project.credentials[0].body
    assert body is not None
    assert (body["token"], body["day"], body["hex"], body["neg"]) == (
        ".inf",
        "2026-01-02",
        "0x10",
        -3,
    )
