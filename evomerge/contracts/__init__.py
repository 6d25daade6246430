"""Contract suites: promises of the store and of every executor, searcher, method, step, estimator, policy and tracker.

They are for ours and other people's. Each suite is a class whose ``test_`` methods make plain assertions. A plugin's
file lies in the folder that is its registry, as runs find it nowhere else. Its author inherits the suite and says what
is to be tested; pytest then runs the inherited methods::

    from evomerge.contracts.searcher import SearcherContract
    from evomerge.search import searchers

    class TestMySearcher(SearcherContract):
        spec = searchers.load("mysearcher")

Nothing here imports pytest. Methods with a ``tmp_path`` argument want an empty folder.
"""
