"""Parts that trackers share; nothing here is a tracker."""
