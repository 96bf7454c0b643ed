"""Study: from one run to a finding. A scenario, what varies, how often, and what is compared."""
