"""Contract suites: promises of every store, executor, searcher and method, for ours and for other people's.

Each suite is a class whose ``test_`` methods make plain assertions. A plugin's author inherits it and says what is to
be tested; pytest then runs the inherited methods::

    from evomerge.contracts.searcher import SearcherContract
    from mypackage.mysearcher import SEARCHER

    class TestMySearcher(SearcherContract):
        spec = SEARCHER

Nothing here imports pytest. Methods with a ``tmp_path`` argument want an empty folder.
"""
