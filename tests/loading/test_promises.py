"""Each sentence of `docs/loading.md` that promises something has a test that holds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# sentences as on the page, with the tests that would fail if they were not true
PROMISES = {
    "one of them runs its loader and the others wait for it": [
        "test_many_threads_ask_and_one_loads",
        "test_a_thousand_tasks_ask_and_one_loads",
        "test_threads_and_tasks_wait_for_one_load_together",
        "test_a_key_that_landed_between_look_and_lead_is_not_loaded_again",
    ],
    "All who wait get the loader's exception, and the next call loads again.": [
        "test_an_error_reaches_all_who_wait_and_leaves_nothing_behind",
        "test_an_error_reaches_threads_and_tasks_alike",
    ],
    "`cache_errors=` with `negative_ttl=` caches some errors for a while.": [
        "test_an_error_may_be_kept_for_a_while",
        "test_an_error_of_another_class_is_not_kept",
    ],
    "A cancellation affects only its task.": [
        "test_cancelling_one_who_waits_harms_no_other",
        "test_cancelling_one_who_waits_harms_no_other_under_trio",
    ],
    "If the task that loads is cancelled, another one that waits starts the load again.": [
        "test_cancelling_the_leader_hands_over",
        "test_cancelling_the_leader_hands_over_under_trio",
        "test_each_who_inherits_a_load_may_be_cancelled_in_turn",
        "test_cancelling_a_task_that_leads_hands_over_to_a_thread",
        "test_when_all_are_cancelled_the_next_call_loads",
    ],
    "The same is true of `KeyboardInterrupt`, and of a loop that is closed during the load.": [
        "test_what_ends_the_thread_that_leads_hands_over_to_another",
        "test_a_loop_that_is_closed_in_the_middle_of_a_load_lets_others_go_on",
        "test_a_task_that_waits_in_a_loop_that_is_closed_harms_nobody",
    ],
    "because it would close a cycle of waits,": [
        "test_a_load_of_the_same_key_inside_its_loader_loads_alone",
        "test_two_threads_that_load_what_the_other_is_loading_both_come_back",
        "test_a_cycle_of_waits_through_a_third_is_seen",
        "test_a_child_task_that_waits_for_its_own_parent_loads_alone",
    ],
    "block the event loop on which the load runs,": [
        "test_a_thread_that_would_block_the_loop_of_the_leader_loads_alone",
        "test_a_thread_that_would_block_the_trio_loop_of_the_leader_loads_alone",
        "test_two_loops_that_block_on_each_others_tasks_both_come_back",
    ],
    "or wait inside a transaction.": ["test_a_load_inside_a_transaction_waits_for_nobody"],
    "its caller gets the loaded value but the cache does not store it.": [
        "test_what_happens_to_the_key_or_its_tags_during_a_load_wins",
        "test_an_invalidation_that_another_thread_has_yet_to_tell_still_wins",
        "test_an_invalidation_beats_a_refresh_in_the_background",
    ],
    "A call after the invalidation starts a new load.": [
        "test_whoever_asks_after_the_invalidation_does_not_get_the_value_of_before",
        "test_after_an_invalidation_nobody_waits_for_a_load_that_never_returns",
    ],
    "This includes tags that are found in the value.": [
        "test_whoever_joined_after_an_invalidation_of_a_tag_that_nobody_knew_asks_again",
    ],
    "while one load runs in the background": [
        "test_a_stale_value_is_served_while_one_load_runs_in_the_background",
        "test_one_load_refreshes_what_many_ask_for",
        "test_tasks_are_served_stale_while_a_task_loads_in_the_background",
    ],
    "how long it may be served when the loader fails": [
        "test_a_stale_value_stands_in_for_an_error",
        "test_all_who_wait_for_a_load_that_fails_get_the_stale_value",
    ],
    "the nearer the deadline and the longer a load takes, the more likely": [
        "test_the_nearer_the_end_the_likelier_a_value_is_loaded_anew",
        "test_one_early_load_refreshes_what_many_ask_for",
    ],
    "after this share of the time to live, a call reloads in the background": [
        "test_after_its_share_of_the_time_to_live_a_value_is_loaded_anew",
    ],
    "the time to live of `None`, and of cached errors": [
        "test_none_may_have_a_time_to_live_of_its_own",
    ],
    "a function of the value that says whether to store it": [
        "test_a_condition_says_what_is_kept",
        "test_a_condition_that_raises_reaches_all_and_leaves_nothing",
    ],
    "after this time the caller gets a `LoadTimeoutError` (a `TimeoutError`);": [
        "test_whoever_waits_too_long_gets_an_error_and_the_load_goes_on",
        "test_a_load_that_never_returns_holds_nobody_beyond_a_timeout",
    ],
    "after this time the caller gets the stale value; the load goes on": [
        "test_after_a_soft_timeout_the_stale_value_is_served_and_the_load_goes_on",
        "test_a_task_is_served_the_stale_value_after_a_soft_timeout",
    ],
    "how long the stale value is served without trying again;": [
        "test_a_source_that_fails_is_not_asked_again_before_the_throttle_has_passed",
        "test_a_source_that_fails_is_not_asked_by_tasks_before_the_throttle_has_passed",
    ],
    "`False` does not pass the tags on to [an enclosing load]": [
        "test_tags_of_parts_stay_behind_on_request",
    ],
    "only a call with `stale` or `stale_if_error` sees it.": [
        "test_only_whoever_allows_stale_values_gets_one",
    ],
    "makes values stale in the same way.": [
        "test_a_soft_invalidation_leaves_a_value_to_serve",
    ],
    "is kept outside of the store, for at most 10,000 keys of a namespace.": [
        "test_ten_thousand_stale_values_are_kept_and_not_one_more",
    ],
    "The interpreter does not wait for that thread when it exits.": [
        "test_an_interpreter_ends_with_a_load_in_flight",
    ],
    "Code that it calls gets the same object from `cachestorm.loading.current_load()`.": [
        "test_code_that_a_loader_calls_finds_the_same_context",
    ],
    "`context.stale_value` is the value that was stored last.": [
        "test_a_loader_finds_what_it_has_marked_and_may_say_unchanged",
    ],
    "`context.keep = False` keeps the new one from being stored.": [
        "test_a_loader_may_say_that_its_value_is_not_to_be_kept",
    ],
    "A load takes over the tags of the loads inside it, also of those that are hits,": [
        "test_tags_of_parts_reach_the_whole",
    ],
    "Tags belong to a namespace and are not passed on to others.": [
        "test_tags_of_another_namespace_stay_there",
    ],
}


def words_of(path: Path) -> str:
    """A page with each run of white space as one space."""
    return " ".join(path.read_text("utf-8").split())


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_on_the_page_and_has_tests(promise: str) -> None:
    assert promise in words_of(ROOT / "docs" / "loading.md")
    there = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    missing = [name for name in PROMISES[promise] if f"def {name}(" not in there]
    assert missing == []


def test_every_point_of_what_can_be_relied_on_has_a_promise() -> None:
    text = words_of(ROOT / "docs" / "loading.md")
    section = text.partition("## What you can rely on")[2].partition("```")[0]
    points = re.split(r" \* (?=\*\*)", section)[1:]
    assert len(points) == 5
    assert [each for each in points if not any(promise in each for promise in PROMISES)] == []
